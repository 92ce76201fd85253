"""Physics of machine tools: motion, spindles, cutting, wear, heat, fluids; time is passed in."""
