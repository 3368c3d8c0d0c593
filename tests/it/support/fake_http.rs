//! An HTTP server that keeps what it is sent and answers as the test says. It stands in for forges and chats, which cannot
//! be had here; what it checks is that requests are those that their documentation describes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> Json {
        assert_eq!(self.headers.get("content-type").map(String::as_str), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status, headers and body.
    Http(u16, Vec<(&'static str, String)>, &'static str),
    /// Bytes that are not HTTP.
    Garbage,
    /// Nothing: the connection ends.
    Nothing,
}

impl Answer {
    /// An answer that says no more than its status.
    pub fn status(status: u16) -> Self {
        Self::Http(status, Vec::new(), "")
    }
}

/// A server; it ends with the test's process.
pub struct FakeHttp {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    answer: Answer,
    taken: Vec<Received>,
    refused: usize,
}

impl FakeHttp {
    /// A server that takes everything.
    pub fn new() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap(), Answer::status(201))
    }

    /// A server that answers like this, until it is told otherwise.
    pub fn at(listener: TcpListener, answer: Answer) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { answer, taken: Vec::new(), refused: 0 }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    /// From now on it answers like this.
    pub fn answers(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// What it took (answered with 200 to 299) since this was asked last.
    pub fn taken(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().unwrap().taken)
    }

    /// The one request that it took.
    pub fn one(&self) -> Received {
        let mut taken = self.taken();
        assert_eq!(taken.len(), 1, "{taken:#?}");
        taken.remove(0)
    }

    /// Requests that it did not take.
    pub fn refused(&self) -> usize {
        self.state.lock().unwrap().refused
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let Some(request) = read(&stream) else { return };
    let answer = {
        let mut state = state.lock().unwrap();
        let answer = state.answer.clone();
        match answer {
            Answer::Http(200..=299, ..) => state.taken.push(request),
            _ => state.refused += 1,
        }
        answer
    };
    let bytes = match answer {
        Answer::Http(status, headers, body) => {
            let mut head =
                format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            format!("{head}\r\n{body}").into_bytes()
        }
        Answer::Garbage => b"\x00\x01SMTP or what?\r\n\r\n".to_vec(),
        Answer::Nothing => return,
    };
    // The client may have gone.
    let _ = stream.write_all(&bytes);
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { method, path, headers, body: String::from_utf8(body).unwrap() })
}
