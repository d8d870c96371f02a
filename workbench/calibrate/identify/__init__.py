"""What data tell, and what they cannot: before they are taken and after."""
