//! Claims the connections that are due and sends their routine messages.
