//! A way to the emulator on which answers get lost: the request arrives and takes effect, and its sender never hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A proxy that forgets to pass answers on.
pub(crate) struct Forgetful {
    address: String,
    lose: Arc<AtomicUsize>,
}

impl Forgetful {
    /// Stands before a server until the test's runtime ends.
    #[expect(clippy::disallowed_methods, reason = "a test's server, not a handler")]
    pub(crate) async fn before(endpoint: &str) -> Self {
        let upstream = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let lose = Arc::new(AtomicUsize::new(0));
        let to_lose = lose.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&upstream).await.unwrap();
                tokio::spawn(carry(client, server, to_lose.clone()));
            }
        });
        Self { address, lose }
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> &str {
        &self.address
    }

    /// Loses the answers to the next requests.
    pub(crate) fn lose(&self, answers: usize) {
        self.lose.store(answers, Ordering::SeqCst);
    }

    /// How many answers are still to be lost.
    pub(crate) fn to_lose(&self) -> usize {
        self.lose.load(Ordering::SeqCst)
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, lose: Arc<AtomicUsize>) {
    let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let passed = tokio::select! {
            asked = client.read(&mut question) => match asked {
                Ok(length) if length > 0 => server.write_all(&question[..length]).await,
                _ => return,
            },
            answered = server.read(&mut answer) => match answered {
                Ok(length) if length > 0 => {
                    let one_less = |left: usize| left.checked_sub(1);
                    if lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                        return;
                    }
                    client.write_all(&answer[..length]).await
                }
                _ => return,
            },
        };
        if passed.is_err() {
            return;
        }
    }
}
