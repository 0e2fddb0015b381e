//! Golden files: what is stored, announced or derived must stay as it once was. They were computed by another program
//! and are never edited; a new event or version brings new files.

#![cfg(test)]

mod events;
mod exports;
mod files;
mod notices;
mod requests;
mod vectors;
