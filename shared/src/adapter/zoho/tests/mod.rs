//! The adapter against a scripted transport.
