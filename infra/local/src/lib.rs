//! Tandem on one machine: the emulator, the deployment and the demo.
