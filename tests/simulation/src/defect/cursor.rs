//! A cursor that goes too far.

use async_trait::async_trait;
use jiff::SignedDuration;
use tandem::cursor::Cursor;
use tandem::identifier::ConnectionId;
use tandem::object::Object;
use tandem::port::{Error, Store};
use tandem_memory::layer::StoreLayer;

/// The cursor names an instant of the future. Less would be made good by the overlap with which each reading begins.
pub(super) struct CursorTooFar;

/// By how much.
const TOO_FAR: SignedDuration = SignedDuration::from_mins(10);

#[async_trait]
impl StoreLayer for CursorTooFar {
    async fn move_cursor(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        object: Object,
        from: Option<Cursor>,
        to: Cursor,
    ) -> Result<(), Error> {
        let until = to.until.checked_add(TOO_FAR).unwrap_or(to.until);
        let to = Cursor { until, ..to };
        inner.move_cursor(connection, object, from, to).await
    }
}
