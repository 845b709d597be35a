//! From rules to patterns that never leave out more than the rules do, on any tree.
//!
//! A positive rule becomes patterns that match a **subset** of what it matches, a negation patterns that match a
//! **superset**; both stay in the rules' order. From these two alone it follows that nothing which git keeps is left
//! out, also in a tree that changes afterwards; `docs/translation.md` has the proof. What is missing to exactness is
//! settled on the real tree afterwards.

pub mod class;
pub mod component;
pub mod line;
pub mod order;
pub mod overlap;
pub mod rule;
