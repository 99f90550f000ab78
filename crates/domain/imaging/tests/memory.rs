//! The in-memory store keeps the laws.

use infirmary_imaging::testing::MemoryImages;

async fn store() -> (MemoryImages, MemoryImages) {
    let images = MemoryImages::default();
    (images.clone(), images)
}

infirmary_imaging::image_store_laws!(store);
