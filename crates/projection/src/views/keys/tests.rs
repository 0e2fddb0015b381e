//! Tests of the view `keys`.
