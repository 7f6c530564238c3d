//! Carries the platform's edits into Zoho.
