//! Starts and ends the OAuth dance with Zoho.
