//! Tandem's ports held in memory.
