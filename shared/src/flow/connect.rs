//! Connecting an organisation: from "Connect Zoho" to stored tokens (C1 to C4).
