//! Syncs a connection's users from Zoho.
