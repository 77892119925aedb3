export const capitalised = (word) => word.charAt(0).toUpperCase() + word.slice(1)
