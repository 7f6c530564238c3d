//! Syncs a connection's deals from Zoho.
