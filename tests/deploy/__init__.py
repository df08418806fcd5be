"""The image, and the manifests of every way to deploy: valid by real schemas, and true to the code."""
