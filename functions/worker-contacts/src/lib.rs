//! Syncs a connection's contacts from Zoho.
