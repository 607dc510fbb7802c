"""What all web pages of this program share: who may look at them, and the server itself."""
