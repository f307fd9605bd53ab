"""What a procedural KOL scene is drawn from: people, products, backgrounds, camera (no torch)."""
