//! Why a peer does not connect: what was observed of it, and what that means.
