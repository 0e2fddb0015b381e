//! The log as others check it: by Go's own library over the wire, by a witness, and archives after every kind of attack.

#![cfg(test)]

mod attacks;
mod go;
mod witness;
