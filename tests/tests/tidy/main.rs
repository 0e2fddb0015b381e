//! Holds the tree to the rules that a reviewer should not have to repeat.

mod arrows;
mod documents;
mod manifests;
mod places;
mod readme;
mod source;
mod tree;
