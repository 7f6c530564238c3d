//! Several handlers at once, step by step, in an order that a seed decides.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::SeededEntropy;

/// Runs futures at once on one thread: at each step the seed picks which one goes on. With [`crate::Faults::give_way`] a step is one port
/// call, so that any two calls of two handlers can meet in either order, and a seed replays it. The answers come in the futures' order.
pub async fn interleave<T: Unpin>(
    entropy: &SeededEntropy,
    futures: Vec<Pin<Box<dyn Future<Output = T> + '_>>>,
) -> Vec<T> {
    let mut running: Vec<_> = futures.into_iter().enumerate().collect();
    let mut answers: Vec<(usize, T)> = Vec::new();
    poll_fn(|context| {
        if running.is_empty() {
            return Poll::Ready(());
        }
        let picked = entropy.below(running.len());
        if let Poll::Ready(answer) = running[picked].1.as_mut().poll(context) {
            let (place, _) = running.swap_remove(picked);
            answers.push((place, answer));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
