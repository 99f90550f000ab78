//! Messages by the WhatsApp Cloud API.
