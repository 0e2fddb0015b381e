//! Tests of the whole projection: every worker on one log, through restarts, crashes and damage.

mod damage;
mod restart;
mod whole;
