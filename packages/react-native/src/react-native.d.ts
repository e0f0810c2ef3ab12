/**
 * The little of React Native that this package imports. The types of the real one come with two hundred
 * packages; these few words are all that is needed of them.
 */
declare module 'react-native' {
  export const AppState: import('./platform.ts').AppStateLike;
}
