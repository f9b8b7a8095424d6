"""What a label config asks of people, and what their annotations mean; today one choice per image."""
