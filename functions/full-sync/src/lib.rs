//! Plans each connection's nightly full sync.
