//! Who may talk to the page: this machine's browser, on this page. Takes each request; refuses those
//! that another site's script or another name for this machine could have caused, and forbids the answer
//! everything that the page does not need.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Checks `Host` and `Origin`, and puts the policies on the answer.
pub(super) async fn guard(State(port): State<u16>, request: Request, next: Next) -> Response {
    let mut response = if own(request.headers(), port) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "this page answers only to itself, on this machine\n").into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the request names this page as its host, and comes from it if it says where it comes from.
fn own(headers: &HeaderMap, port: u16) -> bool {
    let of = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let host = of(header::HOST).unwrap_or_default();
    let named = host == format!("127.0.0.1:{port}") || host == format!("localhost:{port}");
    named && of(header::ORIGIN).is_none_or(|origin| origin == format!("http://{host}"))
}
