//! The transport over real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::adapter::zoho::transport::{HttpTransport, Method};

use super::*;

/// Serves one connection: reads a request, writes `reply`, gives back what was read.
fn serve(reply: &'static [u8]) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let mut buffer = [0; 4_096];
        while !read.ends_with(b"the body") {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                count => read.extend_from_slice(&buffer[..count]),
            }
        }
        stream.write_all(reply).unwrap();
        String::from_utf8(read).unwrap()
    });
    (base, served)
}

fn request(url: String) -> Request {
    Request {
        method: Method::Put,
        url,
        headers: vec![("Authorization", "Zoho-oauthtoken t".into())],
        body: b"the body".to_vec(),
    }
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_and_a_redirect_is_not_followed() {
    let (base, served) = serve(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nX-Odd: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    );
    let transport = HttpTransport::new().unwrap();
    let response = transport
        .send(request(format!("{base}/crm/v8/Contacts?a=b")))
        .await
        .unwrap();
    assert_eq!(response.status, 302);
    assert_eq!(response.header("x-ODD"), Some("1"));
    assert_eq!(response.body, b"hi");
    assert_eq!(
        format!("{response:?}"),
        "Response { status: 302, body_bytes: 2, .. }"
    );
    let read = served.join().unwrap().to_lowercase();
    assert!(
        read.starts_with("put /crm/v8/contacts?a=b http/1.1\r\n"),
        "{read}"
    );
    for header in [
        "authorization: zoho-oauthtoken t\r\n",
        concat!("user-agent: tandem/", env!("CARGO_PKG_VERSION"), "\r\n"),
        "accept-encoding: gzip\r\n",
    ] {
        assert!(read.contains(header), "{read}");
    }
}

#[tokio::test]
async fn what_goes_wrong_has_a_name_without_the_url() {
    let transport = HttpTransport::new().unwrap();
    let (base, served) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    let error = transport.send(request(base.clone())).await.unwrap_err();
    assert!(matches!(error, Error::Broken(_)), "{error:?}");
    assert!(!format!("{error:?}").contains(&base));
    served.join().unwrap();
    // Nobody listens there any more.
    let error = transport.send(request(base.clone())).await.unwrap_err();
    assert!(matches!(error, Error::NotConnected(_)), "{error:?}");
    let chain = shown(&CrmError::Unavailable {
        source: Box::new(error),
    });
    assert!(!chain.contains(&base), "{chain}");
    let mut odd = request(base);
    odd.headers = vec![("Authorization", "Zoho-oauthtoken\n".into())];
    let error = transport.send(odd).await.unwrap_err();
    assert!(matches!(error, Error::Unsendable), "{error:?}");
}

#[tokio::test]
async fn an_answer_has_a_time_and_a_size() {
    let transport = HttpTransport::within(Duration::from_millis(50), 4).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let error = transport.send(request(url)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut), "{error:?}");

    let transport = HttpTransport::within(Duration::from_secs(5), 4).unwrap();
    for (reply, fits) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour"[..],
            true,
        ),
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfives"[..],
            false,
        ),
    ] {
        let (base, served) = serve(reply);
        let answer = transport.send(request(base)).await;
        served.join().unwrap();
        match answer {
            Ok(response) => assert!(fits && response.body == b"four"),
            Err(error) => assert!(!fits && matches!(error, Error::TooLarge), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_learns_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4_096];
        let count = stream.read(&mut buffer).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        buffer[..count].to_vec()
    });
    let transport = HttpTransport::new().unwrap();
    let error = transport.send(request(url)).await.unwrap_err();
    assert!(matches!(error, Error::NotConnected(_)), "{error:?}");
    let read = served.join().unwrap();
    assert_eq!(read[0], 22, "a TLS handshake and nothing before it");
    assert!(!read.windows(4).any(|window| window == b"Zoho"));
}
