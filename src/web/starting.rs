//! Answers while the master cannot start yet, so that nobody waits in vain: 503 and why.
//!
//! Only then: a start that goes on as usual takes a moment, for which connections wait.

use std::convert::Infallible;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Between two looks at whether the start is held up.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For a head to come, and for the answer to leave.
const EXCHANGE_MAX: Duration = Duration::from_secs(5);
/// Answers at the same time; further connections wait.
const EXCHANGES_MAX: usize = 64;
/// A longer head gets the same answer.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Answers connections with the text of `held_up`, whenever there is one; to be dropped when the master is up.
pub async fn answer_while_starting(listener: &TcpListener, held_up: impl Fn() -> Option<String>) -> Infallible {
    let mut exchanges = JoinSet::new();
    loop {
        let Some(why) = held_up() else {
            sleep(LOOK_EVERY).await;
            continue;
        };
        if exchanges.len() >= EXCHANGES_MAX {
            exchanges.join_next().await;
        }
        // Looks again now and then, because the reason may be gone.
        if let Ok(Ok((stream, _))) = timeout(LOOK_EVERY, listener.accept()).await {
            exchanges.spawn(timeout(EXCHANGE_MAX, answer(stream, why)));
        }
    }
}

async fn answer(mut stream: TcpStream, why: String) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let body = serde_json::json!({ "error": why }).to_string();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\nRetry-After: 10\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // A client that has gone needs no answer.
    let _gone = stream.write_all((head + &body).as_bytes()).await;
    let _gone = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_that_is_held_up_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::select! {
            answer = client => answer,
            never = answer_while_starting(&listener, || Some("no room".to_owned())) => match never {},
        };
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("{\"error\":\"no room\"}"), "{answer}");
    }
}
