//! Every store port of Infirmary on MongoDB: for many machines.
