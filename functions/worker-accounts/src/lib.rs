//! Syncs a connection's accounts from Zoho.
