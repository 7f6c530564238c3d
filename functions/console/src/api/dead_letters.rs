//! Messages that failed five times: shown, and sent on their way again. They are the operator's matter, whatever connection they belong to.

use axum::Json;
use axum::extract::State;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use tandem::identifier::ConnectionId;
use tandem::port::{QueueName, Redriven};
use utoipa::{IntoParams, ToSchema};

use crate::Deps;
use crate::extract::{OfQueue, Query};
use crate::problem::Problem;
use crate::view::DeadLetterQueue;

/// Whose.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// Shows only letters of this connection, among those looked at; how many wait is of all connections.
    #[param(value_type = Option<String>, example = "acme")]
    connection: Option<ConnectionId>,
}

/// What waits, by queue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeadLetterQueues {
    /// Every queue.
    queues: Vec<DeadLetterQueue>,
}

/// What became of a queue's dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Moved {
    /// How many are on their way again.
    moved: u64,
    /// Whether there may be more: send the request again.
    more: bool,
}

/// How many messages failed five times, and a look at up to ten of each queue.
///
/// Shows where a message was to look, and never the values of an edit. Looking leaves it where it is.
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters", operation_id = "list_dead_letters",
    params(Whose), responses((status = 200, description = "Every queue with its dead letters", body = DeadLetterQueues)))]
pub(super) async fn list(
    State(deps): State<Deps>,
    Query(whose): Query<Whose>,
) -> Result<Json<DeadLetterQueues>, Problem> {
    let looks = QueueName::ALL.map(async |name| {
        let dead = deps.ports.queue.dead_letters(name).await?;
        Ok::<_, Problem>(DeadLetterQueue::new(name, &dead, |letter| {
            whose.connection.is_none() || letter.connection == whose.connection
        }))
    });
    let queues = try_join_all(looks).await?;
    Ok(Json(DeadLetterQueues { queues }))
}

/// Sends a queue's dead letters on their way again, a hundred at a time.
///
/// Mend what they failed of first. A message that arrives twice does no harm, and an edit counts as made when it was sent first.
#[utoipa::path(post, path = "/dead-letters/{queue}/redrive", tag = "dead letters", operation_id = "redrive_dead_letters",
    params(OfQueue), responses((status = 200, description = "What was moved", body = Moved)))]
pub(super) async fn redrive(State(deps): State<Deps>, of: OfQueue) -> Result<Json<Moved>, Problem> {
    let Redriven { moved, more } = deps.ports.queue.redrive(of.queue).await?;
    let queue = crate::view::Queue::from(of.queue);
    tracing::info!(%queue, moved, more, "a person had dead letters sent again");
    Ok(Json(Moved { moved, more }))
}
