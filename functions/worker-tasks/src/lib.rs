//! Syncs a connection's tasks from Zoho.
