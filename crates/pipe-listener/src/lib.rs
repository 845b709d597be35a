//! What other programs share with the listener: the bridge folder, which it owns.

pub mod folder;
