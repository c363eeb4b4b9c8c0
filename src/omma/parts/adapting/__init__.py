"""Parts of networks that learn to serve pictures nobody labelled."""
