//! One contract for the in-memory ports and the real adapters.
