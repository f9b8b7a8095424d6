"""What labels teach: read them, train heads, measure their accuracy on the audit."""
