//! HTTP to identity providers: no redirects, bounded answers, bounded time.

use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse, http};

/// A provider that takes longer is away; somebody waits for the page.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Keys and descriptions of a provider have some kilobytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why a provider did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("reach the identity provider")]
    Reach(#[source] reqwest::Error),
    #[error("the identity provider's answer is larger than {ANSWER_BYTES_MAX} bytes")]
    Large,
    #[error("the identity provider's answer is not HTTP")]
    Form(#[source] http::Error),
}

/// Sends requests to providers.
#[derive(Clone, Debug)]
pub(super) struct ProviderHttp(reqwest::Client);

impl ProviderHttp {
    /// # Errors
    /// When there is no TLS.
    pub fn new() -> Result<Self, FetchError> {
        // Whoever comes first chooses ring for the process; directory servers are asked with it, too.
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // A redirect could lead the secrets of a request elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("starwright/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|error| FetchError::Reach(error.without_url()))
    }

    /// One request.
    pub async fn fetch(self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let failed = |error: reqwest::Error| FetchError::Reach(error.without_url());
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut answer = self.0.execute(request).await.map_err(failed)?;
        let mut response = http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(FetchError::Large);
            }
            body.extend_from_slice(&piece);
        }
        response.body(body).map_err(FetchError::Form)
    }

    /// What an address tells the holder of an access token, as JSON.
    pub async fn json(&self, address: &str, token: &str) -> Result<serde_json::Value, ProviderError> {
        let request = http::Request::builder()
            .uri(address)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Vec::new())
            .map_err(FetchError::Form)?;
        let answer = self.clone().fetch(request).await?;
        if !answer.status().is_success() {
            return Err(ProviderError::Answer(format!("it answered {}", answer.status().as_u16())));
        }
        serde_json::from_slice(answer.body())
            .map_err(|error| ProviderError::Answer(format!("its answer is not JSON (column {})", error.column())))
    }
}

/// Why a provider's word is not taken. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("understand the identity provider: {0}")]
    Answer(String),
    #[error("the configuration of the login is wrong: {0}")]
    Configuration(String),
    #[error("the provider refused: {0}")]
    Refused(String),
    /// The account is none of those that may log in.
    #[error("the account `{0}` is not among those that may log in")]
    Outsider(String),
}
