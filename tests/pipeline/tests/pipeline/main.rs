//! The pipeline, deployed by the SAM CLI on an emulator of AWS that enforces policies.

mod launcher;
