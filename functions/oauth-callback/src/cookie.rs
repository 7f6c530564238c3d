//! The cookie that ties the way back from Zoho to the browser that began.

use axum::http::{HeaderMap, HeaderValue, header};
use tandem::flow::connect::STATE_LIFE;
use tandem::secret::Secret;
use url::{Host, Url};

/// How the cookie is named and guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cookie {
    secure: bool,
}

impl Cookie {
    /// The cookie for a service at that address. Only a service on this very machine may do without TLS.
    pub(crate) fn of(public_url: &str) -> Self {
        let local = Url::parse(public_url).is_ok_and(|url| {
            url.scheme() == "http"
                && match url.host() {
                    Some(Host::Domain(name)) => name == "localhost",
                    Some(Host::Ipv4(address)) => address.is_loopback(),
                    Some(Host::Ipv6(address)) => address.is_loopback(),
                    None => false,
                }
        });
        Self { secure: !local }
    }

    const fn name(self) -> &'static str {
        // The prefix makes browsers refuse the cookie from any other host and without Secure.
        match self.secure {
            true => "__Host-tandem-connect",
            false => "tandem-connect",
        }
    }

    /// The `Set-Cookie` value.
    pub(crate) fn set(self, value: &Secret) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!(
            "{}={}; Path=/; HttpOnly{secure}; SameSite=Lax; Max-Age={}",
            self.name(),
            value.expose(),
            STATE_LIFE.as_secs()
        );
        // The value is hexadecimal, which is always a valid header.
        let mut header =
            HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }

    /// The cookie that a browser sent.
    pub(crate) fn read(self, headers: &HeaderMap) -> Option<&str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name())
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_very_machine_does_without_tls() {
        for local in [
            "http://127.0.0.1:8080",
            "http://localhost:3000",
            "http://[::1]:1",
        ] {
            assert!(!Cookie::of(local).secure, "{local}");
        }
        for remote in [
            "https://sync.example",
            "https://localhost",
            "http://sync.example",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "",
        ] {
            assert!(Cookie::of(remote).secure, "{remote}");
        }
    }

    #[test]
    fn the_cookie_is_guarded() {
        let set = Cookie::of("https://sync.example").set(&Secret::new("ab12"));
        assert_eq!(
            set,
            "__Host-tandem-connect=ab12; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=600"
        );
        let set = Cookie::of("http://localhost:1").set(&Secret::new("ab12"));
        assert_eq!(
            set,
            "tandem-connect=ab12; Path=/; HttpOnly; SameSite=Lax; Max-Age=600"
        );
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let cookie = Cookie::of("https://sync.example");
        let mut headers = HeaderMap::new();
        assert_eq!(cookie.read(&headers), None);
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("a=1; tandem-connect=no"),
        );
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("b=2;__Host-tandem-connect=yes"),
        );
        assert_eq!(cookie.read(&headers), Some("yes"));
    }
}
