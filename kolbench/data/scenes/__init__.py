"""Draws procedural KOL scenes from people, products, backgrounds and a camera, without torch."""
