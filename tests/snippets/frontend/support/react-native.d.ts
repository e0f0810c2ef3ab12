/**
 * The components of React Native that the example uses, with the props that it gives them. The types of the
 * real package come with two hundred others.
 */
declare module 'react-native' {
  type Style = Readonly<Record<string, string | number>>;

  interface ViewProps {
    readonly style?: Style;
    readonly testID?: string;
    readonly accessibilityLabel?: string;
    readonly children?: import('react').ReactNode;
  }

  export const View: import('react').ComponentType<ViewProps>;
  export const Text: import('react').ComponentType<ViewProps>;
  export const TextInput: import('react').ComponentType<
    ViewProps & {
      readonly value?: string;
      readonly onChangeText?: (text: string) => void;
      readonly autoCapitalize?: 'none' | 'sentences' | 'words' | 'characters';
    }
  >;
  export const Button: import('react').ComponentType<{
    readonly title: string;
    readonly onPress?: () => void;
  }>;
  export const StyleSheet: { create<T extends Readonly<Record<string, Style>>>(styles: T): T };
}
