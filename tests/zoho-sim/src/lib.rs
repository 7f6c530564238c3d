//! A simulator of Zoho CRM.
