//! What `examples/deploy/` has beyond configurations of web servers: an image, Kubernetes, Compose, and systemd's templates.
//!
//! Nothing of it can be started as it will be, without a cluster and a registry. So the facts are taken from the files, and the real server is
//! treated as they say: started with their arguments, asked by their probes, ended within their time.
//!
//! - [`container`] is a container on this machine: a folder in the place of its file system, free ports in the place of its own.
//! - [`kubelet`] is what Kubernetes does with one, in miniature.
//! - [`image`], [`kubernetes`], [`compose`] and [`systemd`] have the tests.

mod compose;
mod container;
mod files;
mod image;
mod kubelet;
mod kubernetes;
mod systemd;
