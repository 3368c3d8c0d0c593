//! Reaches the master: TCP, TLS if asked for, and the WebSocket's handshake with name and password.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, InvalidHeaderValue, USER_AGENT};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::address::Address;
use super::options::Options;
use crate::protocol::MESSAGE_BYTES_MAX;

/// How long the way to the master may take.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// How long the master may take to let us in.
const HANDSHAKE_MAX: Duration = Duration::from_secs(20);

/// What is logged of a master's reason.
const REASON_CHARS_MAX: usize = 200;

/// A connection that the master accepted.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("reach the master at `{host}:{port}`")]
    Unreachable { host: String, port: u16, source: io::Error },
    #[error("get an answer from the master at `{host}:{port}` within {} s", limit.as_secs())]
    Late { host: String, port: u16, limit: Duration },
    #[error("log in to the master as worker `{name}`: {why} (HTTP status {status})")]
    Login { name: String, status: u16, why: String },
    #[error("connect to the master as worker `{name}` for now: {why} (HTTP status {status})")]
    NotNow { name: String, status: u16, why: String },
    #[error("speak to the master at `{url}`")]
    Handshake { url: String, source: Box<SocketError> },
    #[error("put name and password into a request")]
    Credentials { source: InvalidHeaderValue },
}

/// Connects once.
pub(super) async fn connect(address: &Address, options: &Options) -> Result<Socket, ConnectError> {
    let (host, port) = (address.host.clone(), address.port);
    let late = |limit| ConnectError::Late { host: host.clone(), port, limit };
    let stream = tokio::time::timeout(CONNECT_MAX, TcpStream::connect((address.host.as_str(), port)))
        .await
        .map_err(|_| late(CONNECT_MAX))?
        .map_err(|source| ConnectError::Unreachable { host: host.clone(), port, source })?;
    // Small messages go out at once; a failure costs speed only.
    let _ = stream.set_nodelay(true);
    let wrong = |source| ConnectError::Handshake { url: address.url.clone(), source: Box::new(source) };
    let mut request = address.url.as_str().into_client_request().map_err(wrong)?;
    let login = STANDARD.encode(format!("{}:{}", options.name, options.password));
    let mut login =
        HeaderValue::try_from(format!("Basic {login}")).map_err(|source| ConnectError::Credentials { source })?;
    login.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, login);
    request
        .headers_mut()
        .insert(USER_AGENT, HeaderValue::from_static(concat!("starwright/", env!("CARGO_PKG_VERSION"))));
    let limits =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    // The one implementation of TLS that we carry; another call may have chosen it already.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let handshake = client_async_tls_with_config(request, stream, Some(limits), None);
    match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
        Err(_) => Err(late(HANDSHAKE_MAX)),
        Ok(Ok((socket, _response))) => Ok(socket),
        Ok(Err(SocketError::Http(response))) => {
            let (name, status) = (options.name.clone(), response.status().as_u16());
            Err(if matches!(status, 401 | 403) {
                ConnectError::Login {
                    name,
                    status,
                    why: reason(response.body().as_deref()).unwrap_or("wrong name or password".into()),
                }
            } else {
                ConnectError::NotNow {
                    name,
                    status,
                    why: reason(response.body().as_deref()).unwrap_or("it gives no reason".into()),
                }
            })
        }
        Ok(Err(source)) => Err(wrong(source)),
    }
}

/// What the master says in the body of its refusal, in one line without what a terminal would obey.
fn reason(body: Option<&[u8]>) -> Option<String> {
    let text = String::from_utf8_lossy(body?);
    let line: String = text.lines().next()?.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    (!line.trim().is_empty()).then(|| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_refusal_is_one_bounded_line() {
        assert_eq!(reason(None), None);
        assert_eq!(reason(Some(b"\n")), None);
        assert_eq!(reason(Some(b"wrong \x1b[31mname\r\nmore")), Some("wrong [31mname".to_owned()));
        assert_eq!(reason(Some(&[b'x'; 10_000])).unwrap().len(), REASON_CHARS_MAX);
    }

    #[test]
    fn errors_fit_after_failed_to() {
        let why = "wrong name or password".to_owned();
        let error = ConnectError::Login { name: "w".to_owned(), status: 401, why };
        assert_eq!(
            format!("failed to {error}"),
            "failed to log in to the master as worker `w`: wrong name or password (HTTP status 401)"
        );
    }
}
