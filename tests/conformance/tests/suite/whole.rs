//! The suite is passed by a server that keeps every promise.

use crate::model::Model;

amgi_conformance::suite!(Model::whole().await);
