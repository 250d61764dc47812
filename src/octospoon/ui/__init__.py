"""The page that shows the pool, the batches and the images: a local web application and a static export."""
